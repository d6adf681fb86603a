//go:build plugins

// Package plugins names the plugins of Docker's command that ../docker.sh builds where there are none.
package plugins

import (
	_ "github.com/docker/buildx/cmd/buildx"
	_ "github.com/docker/compose/v2/cmd"
)
