"""The names under which a test report carries what its runs have shown.

User properties travel with pytest's reports, through pytest-xdist and into JUnit files.
"""

PREFIX = "crashgate_"
COLUMNS = ("scenario", "store", "killed", "verdict")
"""One property of each, with the prefix, for every run."""
SWEPT = "crashgate_swept"
"""A JSON object for every part of a sweep: points, hit, trials, passed, foretold (trials that were
told to their end by another run), unfit (trials whose word did not fit); the words that were shown,
and those (misfits) that did not fit somewhere."""
