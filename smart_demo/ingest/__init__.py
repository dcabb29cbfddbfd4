"""An untrusted file -> Pages, one at a time, inside Limits; the only opener of users' files."""
