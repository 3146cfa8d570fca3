"""Pure rules: functions and frozen values that decide about points.

Standard library only; no I/O, no clock (time is an argument), no async, no floats.
"""
