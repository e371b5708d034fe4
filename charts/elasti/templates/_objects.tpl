{{/* The objects of a file, one document each: dict "root" $ "file" PATH. */}}
{{- define "elasti.documents" -}}
{{- $text := .root.Files.Get .file | required (printf "the chart is incomplete: %s is missing" .file) -}}
{{- range $document := splitList "\n---\n" (printf "\n%s" $text) }}
{{- with fromYaml $document }}
- {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Puts an object, and whom it speaks of, into the release's namespace. */}}
{{- define "elasti.place" -}}
{{- $object := .object -}}
{{- if $object.metadata.namespace }}{{- $_ := set $object.metadata "namespace" .root.Release.Namespace }}{{- end }}
{{- range $subject := $object.subjects }}{{- $_ := set $subject "namespace" $.root.Release.Namespace }}{{- end }}
{{- end }}

{{/* Names an object of the whole cluster after the release's namespace: there may be a release in each of several. */}}
{{- define "elasti.ofRelease" -}}
{{- $object := .object -}}
{{- if ne .root.Release.Namespace "elasti" }}
{{- $name := printf "%s-%s" $object.metadata.name .root.Release.Namespace -}}
{{- $_ := set $object.metadata "name" $name }}
{{- with $object.roleRef }}{{- $_ := set . "name" $name }}{{- end }}
{{- if hasKey ($object.spec | default dict) "policyName" }}{{- $_ := set $object.spec "policyName" $name }}{{- end }}
{{- end }}
{{- end }}

{{/* Gives a Deployment what installations differ in. */}}
{{- define "elasti.fill" -}}
{{- $root := .root -}}
{{- $role := index .object.metadata.labels "app.kubernetes.io/component" -}}
{{- $mine := index $root.Values $role -}}
{{- $pod := .object.spec.template.spec -}}
{{- $container := index $pod.containers 0 -}}
{{- $_ := set .object.spec "replicas" ($mine.replicas | int) -}}
{{- $_ := set $container "image" (printf "%s:%s" $root.Values.image.repository ($root.Values.image.tag | default $root.Chart.AppVersion)) -}}
{{- $_ := set $container "imagePullPolicy" $root.Values.image.pullPolicy -}}
{{- $_ := set $container "env" (concat $container.env $root.Values.env) -}}
{{- $_ := set (index $container.envFrom 0).configMapRef "name" (include "elasti.settingsName" $root) -}}
{{- with $mine.resources }}{{- $_ := set $container "resources" . }}{{- end }}
{{- with $root.Values.volumes }}{{- $_ := set $pod "volumes" . }}{{- end }}
{{- with $root.Values.volumeMounts }}{{- $_ := set $container "volumeMounts" . }}{{- end }}
{{- end }}

{{/* The settings as variables. */}}
{{- define "elasti.settings" -}}
{{- $all := dict "handler_url" (printf "http://elasti-handler.%s.svc:8013" .Release.Namespace) -}}
{{- with .Values.mode }}{{- $_ := set $all "mode" . }}{{- end }}
{{- with .Values.watchNamespaces }}{{- $_ := set $all "watch_namespaces" (join "," .) }}{{- end }}
{{- range $name, $value := merge (deepCopy .Values.settings) $all }}
ELASTI_{{ upper $name }}: {{ toString $value | quote }}
{{- end }}
{{- end }}

{{/* A change gives it another name, so that the pods are replaced. */}}
{{- define "elasti.settingsName" -}}
elasti-settings-{{ include "elasti.settings" . | sha256sum | trunc 10 }}
{{- end }}
