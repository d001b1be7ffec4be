"""Posts records: workers, pace, what an answer means, resuming, reading back."""
