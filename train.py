"""python train.py [overrides] is `gan-zoo train [overrides]`; see --help."""

from gan_zoo.run import main

if __name__ == "__main__":
    main()
