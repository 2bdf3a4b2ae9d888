from browsers import browser, visitor

__all__ = ["browser", "visitor"]
