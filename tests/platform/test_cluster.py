"""Tests of the Ray session of a job."""

from __future__ import annotations

from pathlib import Path

from framemill.platform.cluster import session
from framemill.platform.config import ClusterConfig


def test_a_local_session_takes_a_free_port_for_its_agent(ray_session: None) -> None:
    """At Ray's default port, a second Ray instance of the machine would wait 3.5 s for the port."""
    import ray
    from ray._private import parameter, ray_constants

    folder = Path(ray._private.worker._global_node.get_session_dir_path())
    (port,) = [file.read_text() for file in folder.glob("dashboard_agent_listen_port*")]
    assert int(port) not in (0, ray_constants.DEFAULT_DASHBOARD_AGENT_LISTEN_PORT)
    assert isinstance(parameter.RayParams, type), "the argument is only for the start of this session"


def test_a_session_inside_a_session_leaves_it_running(ray_session: None) -> None:
    """A loop of jobs starts Ray once."""
    import ray

    with session(ClusterConfig(), workers=1):
        pass
    assert ray.is_initialized()
