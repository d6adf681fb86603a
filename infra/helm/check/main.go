// annals-chart renders the Helm chart and holds every object against the Kubernetes API it is written for.
//
//	annals-chart CHART [VALUES.yaml]
//
// It prints the objects as a JSON array. What `helm lint` finds, a template that fails, values that the chart's schema
// refuses, and a field that the API does not know end it with status 1 and a line for each.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"sort"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"helm.sh/helm/v3/pkg/releaseutil"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

var cluster = chartutil.KubeVersion{Version: "v1.34.0", Major: "1", Minor: "34"}

const namespace = "annals"

func main() {
	log.SetOutput(io.Discard) // helm says that infra/gateway is linked into the chart, which is meant
	objects, err := check(os.Args[1], os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(objects); err != nil {
		panic(err)
	}
}

func check(folder string, files []string) ([]json.RawMessage, error) {
	values := map[string]any{}
	for _, file := range files {
		given, err := chartutil.ReadValuesFile(file)
		if err != nil {
			return nil, err
		}
		values = chartutil.CoalesceTables(given, values)
	}
	if err := linted(folder, values); err != nil {
		return nil, err
	}
	manifests, err := rendered(folder, values)
	if err != nil {
		return nil, err
	}
	return decoded(manifests)
}

// linted returns what `helm lint --strict` says; information is no fault.
func linted(folder string, values map[string]any) error {
	var faults []error
	for _, message := range lint.AllWithKubeVersion(folder, values, namespace, &cluster).Messages {
		if message.Severity >= support.WarningSev {
			faults = append(faults, message)
		}
	}
	return errors.Join(faults...)
}

// rendered returns the manifests of a release, in the order of the files they are from.
func rendered(folder string, values map[string]any) ([]string, error) {
	chart, err := loader.Load(folder)
	if err != nil {
		return nil, err
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = cluster
	release := chartutil.ReleaseOptions{Name: "annals", Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(chart, values, release, capabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return nil, err
	}
	var names, manifests []string
	for name := range files {
		if strings.HasSuffix(name, ".yaml") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		parts := releaseutil.SplitManifests(files[name])
		var keys []string
		for key := range parts {
			keys = append(keys, key)
		}
		sort.Sort(releaseutil.BySplitManifestsOrder(keys))
		for _, key := range keys {
			manifests = append(manifests, parts[key])
		}
	}
	return manifests, nil
}

// decoded returns each object as JSON, once the API's own types have taken in all of its fields.
func decoded(manifests []string) ([]json.RawMessage, error) {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, monitoring.AddToScheme} {
		if err := add(known); err != nil {
			return nil, err
		}
	}
	decoder := serializer.NewCodecFactory(known, serializer.EnableStrict).UniversalDeserializer()
	var objects []json.RawMessage
	var faults []error
	for _, manifest := range manifests {
		object, err := yaml.YAMLToJSONStrict([]byte(manifest))
		if err == nil {
			_, _, err = decoder.Decode(object, nil, nil)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%w in:\n%s", err, manifest))
		}
		objects = append(objects, object)
	}
	return objects, errors.Join(faults...)
}
