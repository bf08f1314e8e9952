"""The verdict's parts: its models, gaps, tolerances, spreads over seeds, and sentences. All pure."""
