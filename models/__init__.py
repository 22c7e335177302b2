"""Machine learning: recipes, data sets, nets, training, export. Torch lives only here."""
