"""An untrusted file -> Pages, one at a time, inside Limits; the only opener of users' files.

upload     what is known of a file before its pages are: name, content hash, kind
intake     `inspect` and `render`: which reader a file goes to                          <- read first
ahead      steps taken in a thread, so that pages are drawn while others are encoded
pdf        pages of a PDF, drawn by poppler through pdf2image
facts      what pdfinfo says of a PDF
poppler    poppler's programs inside bounds of time, memory and environment
words      words of a PDF page with their boxes
questions  what is asked of the processes that read pictures, and what their answers mean
decoders   those processes, so that no picture can end the app
decoder    the program that they run
pictures   Pillow's formats as upright RGB, in that program
tags       pictures whose tags would fill the memory
kinds      what a file is, by its first bytes
folders    which files a list of paths comes to
"""

from smart_demo.ingest.files import Upload, clean_name, walk
from smart_demo.ingest.reader import ahead, decode_bytes, decode_picture, describe, inspect, render

__all__ = ["Upload", "ahead", "clean_name", "decode_bytes", "decode_picture", "describe", "inspect", "render", "walk"]
