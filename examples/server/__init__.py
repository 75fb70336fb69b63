"""Relay a model's stream to browsers, and stop it when they leave."""
