"""Answer a large set of prompts on a cluster of Dask workers."""
