{{- /* Each takes a dict with `root` and `name`, the service's or the gateway's. */ -}}

{{- define "annals.fullname" -}}
{{ printf "%s-%s" .root.Release.Name .name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "annals.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "annals.labels" -}}
{{ include "annals.selector" . }}
app.kubernetes.io/part-of: annals
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "annals.pod" -}}
automountServiceAccountToken: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "annals.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "annals.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "annals.selector" . | nindent 8 }}
{{- end }}

{{- define "annals.image" -}}
image: {{ printf "%s/%s:%s" .root.Values.image.registry .name (.root.Values.image.tag | default .root.Chart.AppVersion) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- end }}

{{- /* Where the console, and what it has of the `annals` command, asks the services. */ -}}
{{- define "annals.hosts" -}}
{{- range $name, $_ := .Values.services }}
{{ upper $name }}_HTTP_HOST: {{ include "annals.fullname" (dict "root" $ "name" $name) }}
{{- end }}
CONSOLE_HTTP_HOST: 0.0.0.0
{{- end }}

{{- /* Where compliance fetches copies of what the others hold of somebody. */ -}}
{{- define "annals.peers" -}}
{{- $peers := list }}
{{- range $name, $service := .Values.services }}
{{- if and $service.enabled (ne $name "compliance") }}
{{- $address := include "annals.fullname" (dict "root" $ "name" $name) }}
{{- $peers = append $peers (printf "%s=http://%s:8000" $name $address) }}
{{- end }}
{{- end }}
{{- join "," $peers }}
{{- end }}

{{- /* The environment of a service, also of its migrations; what is secret comes from its Secrets. */ -}}
{{- define "annals.env" -}}
{{- $values := .root.Values }}
{{- $given := dict
  "ANNALS_ENVIRONMENT" $values.environment
  "ANNALS_KAFKA_BOOTSTRAP" $values.kafka.bootstrap
  "ANNALS_KAFKA_CA_FILE" (ternary "/etc/annals/kafka/ca.crt" "" (ne $values.kafka.caSecret ""))
  "ANNALS_JWT_PUBLIC_KEY" $values.tokenKeys
  "ANNALS_SHUTDOWN_SECONDS" (int $values.shutdownSeconds)
  "FORWARDED_ALLOW_IPS" (ternary "*" "" $values.network.enabled) -}}{{- /* nobody but the gateway gets through */}}
{{- if hasPrefix "compliance" .name }}{{ $_ := set $given "COMPLIANCE_PEERS" (include "annals.peers" .root) }}{{ end }}
{{- if eq .name "console" }}{{ $given = merge $given (include "annals.hosts" .root | fromYaml) }}{{ end }}
env:
{{- range $name, $value := merge dict .service.env $values.env $given }}
  - {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- end }}

{{- define "annals.backup.env" -}}
env:
{{- range $name, $value := merge dict .Values.backup.env (dict "ANNALS_ENVIRONMENT" .Values.environment) }}
  - {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
  - {name: ANNALS_BACKUP_STORE, value: /var/lib/annals/store}
{{- end }}

{{- define "annals.monitoring" -}}
- namespaceSelector: {{ with .Values.network.monitoring }}{matchLabels: {{ toJson . }}}{{ else }}{}{{ end }}
  podSelector:
    matchLabels: {app.kubernetes.io/name: prometheus}
{{- end }}

{{- define "annals.kafka.volume" -}}
{{- with .root.Values.kafka.caSecret }}
- name: kafka-ca
  secret: {secretName: {{ . }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- end }}

{{- define "annals.kafka.mount" -}}
{{- if .root.Values.kafka.caSecret }}
- {name: kafka-ca, mountPath: /etc/annals/kafka, readOnly: true}
{{- end }}
{{- end }}

{{- define "annals.dns" -}}
- to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]
  ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- end }}
