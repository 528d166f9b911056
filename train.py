"""python train.py [overrides] is `gan-zoo train [overrides]`; see --help."""

import sys

if __name__ == "__main__":
    try:
        from gan_zoo.launch.main import main

        main()
    except KeyboardInterrupt:  # before anything listens
        sys.exit(130)
