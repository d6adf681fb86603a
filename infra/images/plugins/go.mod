module plugins

go 1.24

require (
	github.com/docker/buildx v0.29.1
	github.com/docker/compose/v2 v2.40.3
)
