"""The gate: one story a file. Every story uses the numbers of the documents it comes from."""
