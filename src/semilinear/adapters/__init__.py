"""Models and callers from other libraries; each module imports its own library, and lazily."""
