"""Blind comparison and grading by people: records, journal, scoreboards, query lists."""
