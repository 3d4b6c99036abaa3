{{- define "wattmark.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* Names of cluster-scoped objects. A namespace has no dot, so two releases cannot meet in one name. */ -}}
{{- define "wattmark.clusterName" -}}
{{- printf "%s.%s" (include "wattmark.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "wattmark.selector" -}}
app.kubernetes.io/name: wattmark-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "wattmark.labels" -}}
{{ include "wattmark.selector" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: wattmark
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* (dict "name" "operator" "context" $) -> repository:tag or repository@digest */ -}}
{{- define "wattmark.image" -}}
{{- $image := index .context.Values.image .name -}}
{{- $repository := required (printf "image.%s.repository is not set: build the image, push it to a registry that your nodes can pull from, and name it here (docs/operations.md)" .name) $image.repository -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .context.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "wattmark.operatorUser" -}}
{{- printf "system:serviceaccount:%s:%s" .Release.Namespace (include "wattmark.fullname" .) -}}
{{- end -}}

{{- define "wattmark.readAllPods" -}}
{{- and .Values.pods.readAll (eq .Values.scope "cluster") -}}
{{- end -}}

{{- /* The namespaces that a policy speaks of: those that this release's operator serves. */ -}}
{{- define "wattmark.policyBinding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels:
    {{- include "wattmark.labels" .context | nindent 4 }}
spec:
  policyName: {{ .name }}
  validationActions: [Deny]
  {{- if eq .context.Values.scope "namespace" }}
  matchResources:
    namespaceSelector:
      matchLabels:
        kubernetes.io/metadata.name: {{ .context.Release.Namespace }}
  {{- end }}
{{- end -}}
