"""The ledger floor: typed rows go in, one statement comes out. Services decide what is booked, storage keeps it."""
