"""The ledger layer: typed rows go in, one statement comes out. Services decide what to book; storage keeps it."""
