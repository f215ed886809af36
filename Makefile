# make install PREFIX=/usr/local: what Launch/install --prefix does.
PREFIX ?= /usr/local

.PHONY: build install uninstall
build:
	Launch/install
	swift build -c release --product lasp-train

install:
	Launch/install --prefix "$(PREFIX)"

uninstall:
	Launch/install-to --remove "$(PREFIX)"
