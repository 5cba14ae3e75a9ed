{{/* The container that tells Kubernetes. Why each line is as it is: deploy/components/agent, which a test holds to be the same. */}}
{{- define "weighhouse.agent" -}}
- name: agent
  {{- include "weighhouse.containerImage" (dict "values" .Values "image" (include "weighhouse.image" .)) | nindent 2 }}
  command:
    - /usr/bin/weighhouse
    - agent
    - --watch-socket=/run/weighhouse/watch.sock
    - --heartbeat=/run/agent/heartbeat
  env:
    - name: NODE_NAME
      valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
    {{- if .Values.agent.nodeLabels.enabled }}
    - {name: WEIGHHOUSE_NODE_LABELS, value: {{ .Values.agent.nodeLabels.most | quote }}}
    {{- end }}
  securityContext:
    runAsUser: 64101
    runAsGroup: 64100
    runAsNonRoot: true
    readOnlyRootFilesystem: true
    allowPrivilegeEscalation: false
    capabilities: {drop: [ALL]}
  livenessProbe:
    exec: {command: [/usr/bin/weighhouse, agent, --probe, --heartbeat=/run/agent/heartbeat]}
    initialDelaySeconds: 10
    periodSeconds: 30
    timeoutSeconds: 10
    failureThreshold: 3
  resources:
    {{- toYaml .Values.agent.resources | nindent 4 }}
  volumeMounts:
    - {name: run, mountPath: /run/weighhouse, readOnly: true}
    - {name: agent-heartbeat, mountPath: /run/agent}
    - {name: agent-api-access, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end }}
