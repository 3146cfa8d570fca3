"""The `treue` command. It reads the settings and builds the processes; it decides nothing about loyalty."""
