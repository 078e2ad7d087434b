from .sampler import SearchkitBOSampler


__all__ = ["SearchkitBOSampler"]
