"""Measuring codecs: rows of measurements, and the tables, plots and reports drawn from them."""
