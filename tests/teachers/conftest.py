import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """With more threads, tests crawl while anything else keeps a core busy: operations wait for the slowest."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
