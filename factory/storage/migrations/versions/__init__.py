"""One file per revision, numbered; each is one transaction."""
