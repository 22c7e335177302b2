"""The HTTP door: routes, shapes, limits and the table of problems."""
