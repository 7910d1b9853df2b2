"""How tidegate is put to work: the command line, the local broker, the demo, the manifests."""
