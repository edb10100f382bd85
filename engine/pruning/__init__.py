"""Pruning: which units go, gated first and then really removed; knows nothing of training, runs or screens.

In the order of dependence: plan, gates, calibration, criteria, compensate, kept, cut, checkpoint.
"""
