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

from smart_demo.ingest.ahead import ahead
from smart_demo.ingest.folders import walk
from smart_demo.ingest.intake import decode_bytes, decode_picture, describe, inspect, render
from smart_demo.ingest.upload import Upload, clean_name

__all__ = ["Upload", "ahead", "clean_name", "decode_bytes", "decode_picture", "describe", "inspect", "render", "walk"]
