"""Turn an untrusted file into Pages, one at a time and within Limits; no other package opens visitors' files.

reader   `inspect` a file, `render` its pages, read them ahead with `prefetch`        <- read first
files    file kinds by content, safe names, content hashes, documents in folders
pdf      pages and words of a PDF, through poppler's programs and pdf2image
sandbox  the processes that decode images, so that no image can end the app
images   image reading with Pillow, and the program that those processes run
"""

from smart_demo.ingest.files import Upload, clean_name, find_files
from smart_demo.ingest.reader import (
    decode_image_bytes,
    decode_image_file,
    describe_limits,
    inspect,
    prefetch,
    render,
)

__all__ = [
    "Upload",
    "clean_name",
    "decode_image_bytes",
    "decode_image_file",
    "describe_limits",
    "find_files",
    "inspect",
    "prefetch",
    "render",
]
