"""The brands: one technology behind one port a module."""
