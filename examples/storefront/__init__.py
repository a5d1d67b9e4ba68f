"""What the shops beside it share: their goods and pages, and who may come in."""
