"""searchkit and Ray: an executor for candidates on a cluster."""

from searchkit.integrations.ray_executor import RayExecutor

__all__ = ["RayExecutor"]
