"""The parts that both shops share: items, pages and user accounts."""
