"""The lesson: style transfer taken apart on a page, and every number on it computed live."""
