import sys

import bananas

print(sys.prefix, sys.base_prefix)
bananas.peel()
