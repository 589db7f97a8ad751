"""A real Ray cluster on this machine: four nodes, with processes of their own, and a head that does no work."""

import os

import pytest

NODES = 4
NODE = {"num_cpus": 2, "object_store_memory": 100 * 2**20}


@pytest.fixture(scope="session")
def cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray  # noqa: PLC0415
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(NODES):
        cluster.add_node(**NODE)
    ray.init(cluster.address, logging_level="ERROR", log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def lose_nodes(cluster):
    """Returns a function that takes nodes away, as if their machines had died, and puts in fresh ones."""

    def lose(nodes) -> None:
        for node in nodes:
            cluster.remove_node(node, allow_graceful=False)
            cluster.add_node(**NODE)

    return lose


@pytest.fixture
def lose_a_node(cluster, lose_nodes):
    """Returns a function that does so with the node of an actor."""

    def lose(actor) -> None:
        import ray  # noqa: PLC0415

        where = ray.get(actor.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id()))
        lose_nodes([next(node for node in cluster.worker_nodes if node.node_id == where)])

    return lose
