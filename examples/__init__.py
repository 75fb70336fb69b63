"""Programs to start from: a batch on one machine, on a cluster, and a web server."""
