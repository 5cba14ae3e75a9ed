{{/* The labels of every object. Not of pods: a new version of the chart alone starts none anew. */}}
{{- define "weighhouse.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "weighhouse.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* Given (dict "values" .Values "image" IMAGE): the lines of a container's image. */}}
{{- define "weighhouse.containerImage" -}}
image: {{ .image }}
{{- with .values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}
