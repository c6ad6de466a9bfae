"""Chunking: cut a document into passages along its own structure.

Every format has a reader, which lays the document out in **parts**: a section of Markdown, a definition of code, an
operation or a schema of a specification, a subtree of YAML or JSON, all the paragraphs of a plain text. Parts are
slices of the document in its order, so that nothing is reworded, and a chunk can be shown as it was written. From there
on one piece of code serves all formats:

- A part that fits the limit is one chunk. A part over the limit is laid out in its **blocks** (paragraphs, fences,
  tables, members), which are packed together and cut only where one alone is over the limit; then semchunk cuts it at
  the best place that it finds: a blank line, a line, the end of a sentence, a clause, a word.
- A part of less than an eighth of the limit (32 of 256 tokens) is **small**. Small neighbours in the same scope
  (sections of one section, members of one class) are packed into chunks under the scope's title; a small part between
  larger ones stays by itself.
- Operations, schemas, channels and messages are never packed, since people look for each by its name.

**A new version re-embeds only what changed.** An id depends on title and text, not on the place. No chunk spans two
parts except small neighbours, so that a change to one part leaves the chunks of all others as they were, apart from
those of the run of small neighbours that it stands in or beside. Where many blocks or small parts are packed, the
places where one chunk ends and the next begins are chosen by content (a checksum of the last block), so that an
insertion shifts only a few chunks, not all that follow. Titles hold no positions for the same reason: an element of a
JSON array has the pointer of the array.

**Chunks do not overlap.** Overlap repeats text at cuts that fell in a bad place, at the price of more vectors, of hits
that say the same thing twice, and of changes that spread to the neighbour's id. These cuts follow the structure, and
each chunk carries the title of where it stands. What the title says (the headings above, the class, the path of an
operation, the keys above a subtree) is not repeated in the text, so **embed the title together with the text**; the
limit is for the text alone.

Of text, Markdown and code nothing but white space is lost. Of YAML and JSON, the keys that a title names and the
brackets around what was taken apart are. Lone surrogates, which no encoding can carry, become U+FFFD.
"""

from factory.memory.chunking.chunker import chunk_document
from factory.memory.chunking.formats import Format, format_of
from factory.memory.chunking.ruler import TokenCounter

__all__ = ["Format", "TokenCounter", "chunk_document", "format_of"]
