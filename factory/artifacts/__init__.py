"""Where artifacts live: blobs, Git repositories, metadata and lineage."""
