"""Measuring what agents earn."""
