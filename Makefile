include build.mk

# The embedded MongoDB-wire server
build/v2m-mongo: $(wildcard docker/mongo/*.go docker/mongo/go.*)
	@mkdir -p $(@D)
	cd docker/mongo && go build -trimpath -o $(CURDIR)/$@ .
