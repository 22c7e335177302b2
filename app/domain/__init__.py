"""The nouns of photo-ID: standard library and numpy only, no input or output."""
