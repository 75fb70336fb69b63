"""`python -m langchain_mistral_stream "Tell me a joke"`; see `--help`."""

import sys

from langchain_mistral_stream.cli import main

sys.exit(main())
