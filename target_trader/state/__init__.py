"""What the bot remembers and how it is kept: the checkpoint and its stores."""
