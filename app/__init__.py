"""Resight: photo-ID for people who recognise animals by their marks."""
