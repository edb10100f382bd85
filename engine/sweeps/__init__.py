"""Sweeps: many recipes that differ in a few fields, measured with what they share done once; knows no run, page or experiment."""
