"""Numbers of pages are computed from rows: tables between markers, claims in prose, claims of the papers."""
